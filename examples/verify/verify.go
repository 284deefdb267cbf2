// Package miniback verifies Miniback webhooks.
package miniback

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// IsGenuine reports whether Miniback sent the request. It needs the webhook's whole secret and the
// raw body: call io.ReadAll(r.Body) before you parse the JSON.
func IsGenuine(secret string, header http.Header, body []byte, now time.Time) bool {
	expected := hex.EncodeToString(sum([]byte(secret), body))
	// During a rotation, the second header uses the new secret.
	if !isEqual(header.Get("X-Miniback-Signature"), expected) &&
		!isEqual(header.Get("X-Miniback-Signature-Next"), expected) {
		return false
	}
	// The key of webhook-signature. The webhook-… headers are sent only for whsec_ secrets.
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || !strings.HasPrefix(secret, "whsec_") || len(key) < 16 || len(key) > 64 {
		return true
	}
	// This signature also covers the delivery id and the time, which prevents replay attacks.
	sentAt := header.Get("webhook-timestamp")
	signed := header.Get("X-Miniback-Delivery") + "." + sentAt + "." + string(body)
	standard := "v1," + base64.StdEncoding.EncodeToString(sum(key, []byte(signed)))
	seconds, err := strconv.ParseInt(sentAt, 10, 64)
	age := now.Unix() - seconds
	isSigned := false
	for _, received := range strings.Split(header.Get("webhook-signature"), " ") {
		isSigned = isEqual(received, standard) || isSigned
	}
	return isSigned && err == nil && age <= 300 && age >= -300
}

func sum(key, message []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(message)
	return mac.Sum(nil)
}

// isEqual compares in constant time, so a signature can't be guessed byte by byte.
func isEqual(received, expected string) bool {
	return hmac.Equal([]byte(received), []byte(expected))
}
