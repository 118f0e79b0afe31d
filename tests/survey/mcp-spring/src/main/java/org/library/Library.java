package org.library;

import org.springaicommunity.mcp.annotation.McpTool;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

@SpringBootApplication
public class Library {
    @McpTool(name = "find_book", description = "Finds a book by its title")
    public String findBook(String title) {
        return title;
    }

    public static void main(String[] args) {
        SpringApplication.run(Library.class, args);
    }
}
