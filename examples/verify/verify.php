<?php
// Verifies Miniback webhooks. $header returns a header by name; $body is the raw body:
//   $header = fn($name) => $_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))] ?? '';
//   $body = file_get_contents('php://input');
function is_genuine(string $secret, callable $header, string $body, int $now): bool
{
    // hash_equals compares in constant time, so a signature can't be guessed byte by byte.
    $expected = hash_hmac('sha256', $body, $secret);
    // During a rotation, the second header uses the new secret.
    if (!hash_equals($expected, $header('X-Miniback-Signature'))
        && !hash_equals($expected, $header('X-Miniback-Signature-Next'))) {
        return false;
    }
    // The key of webhook-signature. The webhook-… headers are sent only for whsec_ secrets.
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
    if ($key === false || strlen($key) < 16 || strlen($key) > 64) {
        return true;
    }
    // This signature also covers the delivery id and the time, which prevents replay attacks.
    $sent_at = $header('webhook-timestamp');
    $signed = $header('X-Miniback-Delivery') . '.' . $sent_at . '.' . $body;
    $standard = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    $matches = array_filter(
        explode(' ', $header('webhook-signature')),
        fn($received) => hash_equals($standard, $received)
    );
    return $matches !== [] && is_numeric($sent_at) && abs($now - (int) $sent_at) <= 300;
}
