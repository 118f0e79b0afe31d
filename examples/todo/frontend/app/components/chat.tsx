"use client";

import { useState, type FormEvent } from "react";

import { ask, type ChatAnswer, type ToolCall } from "@/lib/api";

import { useSession } from "./session";

interface Line {
  author: "user" | "assistant" | "error";
  text: string;
  toolCalls: ToolCall[];
}

export function Chat() {
  const { session } = useSession();
  const [lines, setLines] = useState<Line[]>([]);
  const [message, setMessage] = useState("");
  const [conversation, setConversation] = useState<number>();
  const [busy, setBusy] = useState(false);

  function append(line: Line) {
    setLines((before) => [...before, line]);
  }

  async function send(event: FormEvent) {
    event.preventDefault();
    append({ author: "user", text: message, toolCalls: [] });
    setMessage("");
    setBusy(true);
    try {
      const answer = await ask<ChatAnswer>(session, "POST", "chat", { message, conversation_id: conversation });
      setConversation(answer.conversation_id);
      append({ author: "assistant", text: answer.response, toolCalls: answer.tool_calls });
    } catch (failure) {
      append({ author: "error", text: (failure as Error).message, toolCalls: [] });
    } finally {
      setBusy(false);
    }
  }

  return (
    <section className="card">
      <h1>Chat</h1>
      <ol className="chat" aria-live="polite">
        {lines.map((line, index) => (
          <li key={index} className={line.author}>
            {line.text}
            {line.toolCalls.map((call, position) => (
              <code key={position}>{call.name}</code>
            ))}
          </li>
        ))}
      </ol>
      <form className="row" onSubmit={send}>
        <input
          aria-label="Message"
          placeholder="Add a task to buy milk"
          required
          value={message}
          onChange={(e) => setMessage(e.target.value)}
        />
        <button disabled={busy}>{busy ? "…" : "Send"}</button>
      </form>
    </section>
  );
}
