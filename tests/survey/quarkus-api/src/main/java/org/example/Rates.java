package org.example;

import jakarta.ws.rs.GET;
import jakarta.ws.rs.Path;

@Path("/rates")
public class Rates {
    @GET
    public String all() {
        return "[]";
    }
}
