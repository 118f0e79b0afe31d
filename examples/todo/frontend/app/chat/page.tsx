import { Chat } from "../components/chat";
import { SessionGate } from "../components/session";

export default function ChatPage() {
  return (
    <SessionGate>
      <Chat />
    </SessionGate>
  );
}
