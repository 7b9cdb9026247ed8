module rouse.dev/e2e/readers/goreader

go 1.26.0
