import type { Metadata } from "next";
import Link from "next/link";
import type { ReactNode } from "react";

import "./globals.css";

export const metadata: Metadata = {
  title: "Todo",
  description: "Tasks by list and by chat",
  icons: { icon: "/favicon.svg" },
};

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <nav>
          <Link href="/">Tasks</Link>
          <Link href="/chat">Chat</Link>
        </nav>
        <main>{children}</main>
      </body>
    </html>
  );
}
