import sys


def main() -> int:
    print("nightly work done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
