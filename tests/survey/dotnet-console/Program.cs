using System;
using StackExchange.Redis;

var redis = ConnectionMultiplexer.Connect(Environment.GetEnvironmentVariable("REDIS_ADDRESS") ?? "localhost");
while (true)
{
    Console.WriteLine(redis.GetDatabase().ListLeftPop("parcels"));
}
