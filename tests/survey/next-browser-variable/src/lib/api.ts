export const base = process.env.NEXT_PUBLIC_API_URL || "http://localhost:8000";
const { SESSION_SECRET, FEATURE_X = "off" } = process.env;
if (!SESSION_SECRET) throw new Error("SESSION_SECRET is not set");
export { FEATURE_X };
