package server

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// readableQuery answers a request with a malformed query with an error. Ignoring the malformed parts would answer a
// different question.
func readableQuery(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			fail(w, http.StatusBadRequest, "the query %.100q cannot be read: give name=value pairs, separated by &", r.URL.RawQuery)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// number returns the value of a parameter that is a whole number from least to most. It returns missing if the request
// does not have the parameter. The error says that the client should give want.
func number(q url.Values, name string, missing, least, most int64, want string) (int64, error) {
	switch given := q[name]; len(given) {
	case 0:
		return missing, nil
	case 1:
		v, err := strconv.ParseInt(given[0], 10, 64)
		if err != nil || v < least || v > most {
			return 0, fmt.Errorf("%s %.100q: give %s", name, given[0], want)
		}
		return v, nil
	}
	return 0, fmt.Errorf("%s is given more than once: give %s", name, want)
}
