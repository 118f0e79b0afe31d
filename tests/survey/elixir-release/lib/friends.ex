defmodule Friends do
  def start, do: System.get_env("NAME")
end
