defmodule Friends.MixProject do
  use Mix.Project

  def project do
    [app: :friends, version: "0.1.0", deps: deps()]
  end

  defp deps do
    []
  end
end
