"use client";

import { useCallback, useEffect, useState, type FormEvent } from "react";

import { ApiError, ask, type Task } from "@/lib/api";

import { useSession } from "./session";

export function TaskList() {
  const { session, signOut } = useSession();
  const [tasks, setTasks] = useState<Task[]>([]);
  const [title, setTitle] = useState("");
  const [error, setError] = useState("");

  const run = useCallback(
    async (change?: () => Promise<unknown>) => {
      try {
        await change?.();
        setTasks(await ask<Task[]>(session, "GET", "tasks"));
        setError("");
      } catch (failure) {
        if (failure instanceof ApiError && failure.status === 401) return signOut();
        setError((failure as Error).message);
      }
    },
    [session, signOut],
  );

  useEffect(() => void run(), [run]);

  async function add(event: FormEvent) {
    event.preventDefault();
    await run(() => ask(session, "POST", "tasks", { title }));
    setTitle("");
  }

  return (
    <section className="card">
      <h1>Tasks</h1>
      <form className="row" onSubmit={add}>
        <input aria-label="New task" placeholder="New task" required value={title} onChange={(e) => setTitle(e.target.value)} />
        <button>Add</button>
      </form>
      {error && <p role="alert">{error}</p>}
      {tasks.length === 0 && !error && <p className="quiet">Nothing to do.</p>}
      <ul>
        {tasks.map((task) => (
          <li key={task.id} className="row">
            <label className={task.completed ? "done" : undefined}>
              <input
                type="checkbox"
                checked={task.completed}
                onChange={() => run(() => ask(session, "PUT", `tasks/${task.id}`, { completed: !task.completed }))}
              />
              {task.title}
            </label>
            <button
              className="quiet"
              aria-label={`Delete ${task.title}`}
              onClick={() => run(() => ask(session, "DELETE", `tasks/${task.id}`))}
            >
              Delete
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
