import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

@SpringBootApplication
public class Visits {
    public static void main(String[] args) {
        SpringApplication.run(Visits.class, args);
    }
}
