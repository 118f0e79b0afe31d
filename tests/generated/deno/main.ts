Deno.serve({ port: Number(Deno.env.get("PORT") ?? "8000") }, (request) => {
  return new Response(new URL(request.url).pathname === "/health" ? "ok" : "hello");
});
