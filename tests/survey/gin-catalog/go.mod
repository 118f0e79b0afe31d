module example.org/catalog

go 1.23

require github.com/gin-gonic/gin v1.10.0

require github.com/bytedance/sonic v1.11.6 // indirect
