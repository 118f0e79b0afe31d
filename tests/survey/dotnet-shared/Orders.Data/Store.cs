using System;
using Npgsql;

public static class Store
{
    public static string Address => Environment.GetEnvironmentVariable("ORDERS_DATABASE_URL") ?? "";
}
