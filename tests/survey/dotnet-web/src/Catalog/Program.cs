var builder = WebApplication.CreateBuilder(args);
var app = builder.Build();
app.MapGet("/healthz", () => "ok");
var db = Environment.GetEnvironmentVariable("DATABASE_URL");
app.Run();
