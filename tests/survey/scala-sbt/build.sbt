lazy val root = project
  .in(file("."))
  .settings(
    name := "clock",
    scalaVersion := "3.6.2"
  )
  .enablePlugins(JavaAppPackaging)
