// Limits of the service that are checked before a file is sent.

import { alertLine } from "./dom.js";
import { t } from "./text.js";

/** Tells whether a file is larger than the service takes, and says so. */
export function tooLarge(file, about) {
  const is = file.size > about.max_bytes;
  if (is) alertLine(t("error_large", { size: Math.round(file.size / 1e6), most: Math.round(about.max_bytes / 1e6) }));
  return is;
}
