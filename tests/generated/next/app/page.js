export const dynamic = "force-dynamic";

export default function Page() {
  return <main>hello {process.env.GREETING || "world"}</main>;
}
