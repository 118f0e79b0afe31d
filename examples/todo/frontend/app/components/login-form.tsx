"use client";

import { useState, type FormEvent } from "react";

import { signIn, type Session } from "@/lib/api";

export function LoginForm({ onSession }: { onSession: (session: Session) => void }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const button = (event.nativeEvent as SubmitEvent).submitter as HTMLButtonElement | null;
    setBusy(true);
    setError("");
    try {
      onSession(await signIn(button?.value === "register" ? "register" : "login", email, password));
    } catch (failure) {
      setError((failure as Error).message);
      setBusy(false);
    }
  }

  return (
    <form className="card" onSubmit={submit}>
      <h1>Sign in</h1>
      <label>
        Email
        <input type="email" autoComplete="username" required value={email} onChange={(e) => setEmail(e.target.value)} />
      </label>
      <label>
        Password
        <input
          type="password"
          autoComplete="current-password"
          required
          minLength={8}
          value={password}
          onChange={(e) => setPassword(e.target.value)}
        />
      </label>
      {error && <p role="alert">{error}</p>}
      <div className="row">
        <button value="login" disabled={busy}>
          Sign in
        </button>
        <button value="register" className="quiet" disabled={busy}>
          Create account
        </button>
      </div>
    </form>
  );
}
