// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "desk",
    dependencies: [
        .package(url: "https://github.com/vapor/vapor.git", from: "4.0.0"),
    ],
    targets: [
        .executableTarget(
            name: "Run",
            dependencies: []),
    ]
)
