module github.com/linegate/linegate/interop

go 1.26.0
