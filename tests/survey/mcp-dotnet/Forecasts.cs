using ModelContextProtocol.Server;

[McpServerToolType]
public static class Forecasts
{
    [McpServerTool(Name = "forecast")]
    public static string Forecast(string city) => city;
}
