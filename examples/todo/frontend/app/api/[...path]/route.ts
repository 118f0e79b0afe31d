/** The browser talks to its own origin only; this route carries /api/* to the backend. */
import type { NextRequest } from "next/server";

export const dynamic = "force-dynamic";

/** A chat answer takes several turns of a language model. */
const BACKEND_TIMEOUT_MS = 90_000;

const REQUEST_HEADERS = ["authorization", "content-type", "accept"];

interface Context {
  params: Promise<{ path: string[] }>;
}

async function proxy(request: NextRequest, context: Context): Promise<Response> {
  // Read per request, so that one image serves every environment and the build needs no value.
  const backend = process.env.BACKEND_URL;
  if (!backend) {
    return badGateway("BACKEND_URL is not set on the frontend");
  }

  const { path } = await context.params;
  const target = `${backend.replace(/\/+$/, "")}/api/${path.map(encodeURIComponent).join("/")}${request.nextUrl.search}`;
  const hasBody = request.method !== "GET";

  try {
    const answer = await fetch(target, {
      method: request.method,
      headers: pick(request.headers, REQUEST_HEADERS),
      body: hasBody ? await request.arrayBuffer() : undefined,
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(BACKEND_TIMEOUT_MS),
    });
    return new Response(answer.body, {
      status: answer.status,
      headers: pick(answer.headers, ["content-type", "www-authenticate"]),
    });
  } catch (error) {
    console.error(`proxy ${request.method} ${target}:`, error);
    return badGateway(`the backend did not answer (${reason(error)})`);
  }
}

function pick(headers: Headers, names: string[]): Headers {
  const kept = new Headers();
  for (const name of names) {
    const value = headers.get(name);
    if (value !== null) kept.set(name, value);
  }
  return kept;
}

/** Same shape as the backend's own errors, so the browser reads one format. */
function badGateway(detail: string): Response {
  return Response.json({ detail }, { status: 502 });
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return "unknown error";
  const cause = error.cause as { code?: string } | undefined;
  return cause?.code ?? error.name;
}

export { proxy as GET, proxy as POST, proxy as PUT, proxy as DELETE };
