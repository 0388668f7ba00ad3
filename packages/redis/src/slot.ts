/** Hash slots of Redis Cluster. */

const SLOTS = 16_384;
/** Polynomial of CRC-16/XMODEM. */
const POLYNOMIAL = 0x10_21;

/**
 * @returns The slot of a key, or of its hash tag if it has one.
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
 */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) {
      crc = crc & 0x80_00 ? ((crc << 1) ^ POLYNOMIAL) & 0xff_ff : (crc << 1) & 0xff_ff;
    }
  }
  return crc % SLOTS;
}
