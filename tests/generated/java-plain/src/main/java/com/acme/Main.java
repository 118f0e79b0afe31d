package com.acme;

import io.javalin.Javalin;

public class Main {
    public static void main(String[] words) {
        Javalin.create().get("/", context -> context.result("hello world")).start(7070);
    }
}
