# Verifies Miniback webhooks. header returns a header by name; body is the raw body.
# With Rack or Rails:
#   header = ->(name) { request.get_header("HTTP_" + name.upcase.tr("-", "_")).to_s }
#   body = request.body.read
require "openssl"

module Miniback
  def self.genuine?(secret, header, body, now = Time.now)
    expected = OpenSSL::HMAC.hexdigest("SHA256", secret, body)
    # During a rotation, the second header uses the new secret.
    names = ["X-Miniback-Signature", "X-Miniback-Signature-Next"]
    return false unless names.any? { |name| same?(header.call(name), expected) }

    # The key of webhook-signature. The webhook-… headers are sent only for whsec_ secrets.
    key = standard_key(secret)
    return true if key.nil?

    # This signature also covers the delivery id and the time, which prevents replay attacks.
    sent_at = header.call("webhook-timestamp")
    signed = "#{header.call("X-Miniback-Delivery")}.#{sent_at}.".b + body.b
    standard = "v1," + [OpenSSL::HMAC.digest("SHA256", key, signed)].pack("m0")
    received = header.call("webhook-signature").split(" ")
    is_signed = received.any? { |signature| same?(signature, standard) }
    is_signed && (now.to_i - sent_at.to_i).abs <= 300
  end

  def self.standard_key(secret)
    key = secret.delete_prefix("whsec_").unpack1("m0")
    key if secret.start_with?("whsec_") && key.bytesize.between?(16, 64)
  rescue ArgumentError # not base64
    nil
  end

  # Compares in constant time, so a signature can't be guessed byte by byte.
  def self.same?(received, expected)
    return false unless received.bytesize == expected.bytesize

    OpenSSL.fixed_length_secure_compare(received, expected)
  end
end
