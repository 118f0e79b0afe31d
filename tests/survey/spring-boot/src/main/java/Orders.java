@SpringBootApplication
public class Orders {
  public static void main(String[] args) {
    System.getenv("ORDERS_TOPIC");
  }
}
