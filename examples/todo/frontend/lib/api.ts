/** What the pages know about the backend: its types, and one function that asks it. */

export interface Session {
  userId: string;
  token: string;
}

export interface Task {
  id: number;
  title: string;
  description: string | null;
  completed: boolean;
}

export interface ToolCall {
  name: string;
  arguments: Record<string, unknown>;
}

export interface ChatAnswer {
  conversation_id: number;
  response: string;
  tool_calls: ToolCall[];
}

interface TokenAnswer {
  access_token: string;
  user_id: string;
}

type Method = "GET" | "POST" | "PUT" | "DELETE";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function signIn(action: "login" | "register", email: string, password: string): Promise<Session> {
  const answer = await send<TokenAnswer>("POST", `/api/auth/${action}`, { body: { email, password } });
  return { userId: answer.user_id, token: answer.access_token };
}

/** `path` is below the user's own resource: "tasks", "tasks/3", "chat". */
export function ask<T>(session: Session, method: Method, path: string, body?: unknown): Promise<T> {
  return send<T>(method, `/api/${session.userId}/${path}`, { body, token: session.token });
}

async function send<T>(method: Method, url: string, options: { body?: unknown; token?: string }): Promise<T> {
  const headers: Record<string, string> = {};
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.token) headers["Authorization"] = `Bearer ${options.token}`;

  const answer = await fetch(url, { method, headers, body: JSON.stringify(options.body) });
  if (!answer.ok) throw new ApiError(answer.status, await errorText(answer));
  return answer.status === 204 ? (undefined as T) : ((await answer.json()) as T);
}

async function errorText(answer: Response): Promise<string> {
  const body: unknown = await answer.json().catch(() => null);
  const detail = (body as { detail?: unknown } | null)?.detail;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((item: { msg?: string }) => item.msg ?? "invalid value").join("; ");
  return `the server answered ${answer.status}`;
}
