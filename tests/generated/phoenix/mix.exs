defmodule Hello.MixProject do
  use Mix.Project

  def project do
    [app: :hello, version: "1.0.0", elixir: "~> 1.18", deps: deps()]
  end

  def application, do: [mod: {Hello.Application, []}]

  defp deps do
    [{:phoenix, "~> 1.8"}, {:bandit, "~> 1.5"}]
  end
end
