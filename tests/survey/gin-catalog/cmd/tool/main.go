package main

import "fmt"

func main() { fmt.Println("imports a price list") }
