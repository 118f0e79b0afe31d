require "./shelf"
run Sinatra::Application
