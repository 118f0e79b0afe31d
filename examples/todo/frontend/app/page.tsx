import { SessionGate } from "./components/session";
import { TaskList } from "./components/task-list";

export default function TasksPage() {
  return (
    <SessionGate>
      <TaskList />
    </SessionGate>
  );
}
