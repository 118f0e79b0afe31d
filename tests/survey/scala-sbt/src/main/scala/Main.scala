@main def run() = println("hello")
