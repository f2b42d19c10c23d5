// Package checksum is the internet's checksum (RFC 1071), for frames that are built and read by hand.
package checksum

// Add adds data to a sum: of a pseudo-header, for example. Of all pieces only the last may be of odd length.
func Add(sum uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

// Of is the checksum of a sum and the data after it. Over data that contains its own checksum it is 0.
func Of(sum uint32, b []byte) uint16 {
	sum = Add(sum, b)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
