require "sinatra"

get "/health" do
  "fine"
end
