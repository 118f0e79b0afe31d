import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

@SpringBootApplication
public class Settings {
    public static void main(String[] args) {
        SpringApplication.run(Settings.class, args);
    }
}
