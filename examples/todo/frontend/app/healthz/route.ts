/** Liveness of this process alone: a slow backend must not restart the frontend. */
export function GET(): Response {
  return Response.json({ status: "ok" });
}
