// Package route decides what becomes of a request by its host, path, method, fields and client, and how it is changed on its way.
package route
