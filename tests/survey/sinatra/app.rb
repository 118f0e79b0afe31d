require "sinatra"

set :port, 4600
TOKEN = ENV.fetch("API_TOKEN")

get "/health" do
  "ok"
end
