import Config
config :desk, Desk.Repo, url: System.fetch_env!("DATABASE_URL")
