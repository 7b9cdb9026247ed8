module rouse.dev/e2e/proxies/goproxy

go 1.26.0
