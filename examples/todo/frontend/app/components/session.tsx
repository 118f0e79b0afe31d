"use client";

import { createContext, useContext, useEffect, useState, type ReactNode } from "react";

import type { Session } from "@/lib/api";

import { LoginForm } from "./login-form";

interface SessionContext {
  session: Session;
  signOut: () => void;
}

const STORAGE_KEY = "todo.session";

const Context = createContext<SessionContext | null>(null);

/** Shows its children to a signed-in user, and the login form to everybody else. */
export function SessionGate({ children }: { children: ReactNode }) {
  // `undefined` until the browser's storage was read: the server cannot know.
  const [session, setSession] = useState<Session | null | undefined>(undefined);

  useEffect(() => setSession(load()), []);

  function start(next: Session) {
    sessionStorage.setItem(STORAGE_KEY, JSON.stringify(next));
    setSession(next);
  }

  function signOut() {
    sessionStorage.removeItem(STORAGE_KEY);
    setSession(null);
  }

  if (session === undefined) return null;
  if (session === null) return <LoginForm onSession={start} />;
  return <Context.Provider value={{ session, signOut }}>{children}</Context.Provider>;
}

export function useSession(): SessionContext {
  const value = useContext(Context);
  if (!value) throw new Error("useSession is called outside SessionGate");
  return value;
}

function load(): Session | null {
  const stored = sessionStorage.getItem(STORAGE_KEY);
  return stored ? (JSON.parse(stored) as Session) : null;
}
