import { spawnSync } from "node:child_process";
import path from "node:path";

/** A self-signed certificate for 127.0.0.1. */
export function makeCertificate(dir: string): { key: string; cert: string } {
  const key = path.join(dir, "key.pem");
  const cert = path.join(dir, "cert.pem");
  const made = spawnSync("openssl", [
    ..."req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split(" "),
    ..."-addext subjectAltName=IP:127.0.0.1".split(" "),
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  if (made.status !== 0) throw new Error(`openssl: ${String(made.stderr)}`);
  return { key, cert };
}
