Deno.serve({ port: 8010 }, () => new Response(Deno.env.get("GREETING") ?? "hello"));
