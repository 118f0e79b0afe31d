defmodule Desk.MixProject do
  use Mix.Project

  def project do
    [app: :desk, version: "0.1.0", elixir: "~> 1.18", deps: deps()]
  end

  defp deps do
    [{:phoenix, "~> 1.7"}, {:postgrex, ">= 0.0.0"}, {:bandit, "~> 1.5"}]
  end
end
