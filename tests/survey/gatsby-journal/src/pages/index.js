export default function Home() {
  return process.env.GATSBY_JOURNAL_TITLE;
}
