// Reads a file with an array of texts in JSON, and prints for each the result of `dotenv`, as pairs.
import { readFileSync } from 'node:fs';
import { parse } from 'dotenv';

// After the host and the port that every program of this directory gets.
const texts = JSON.parse(readFileSync(process.argv[4], 'utf8'));
// From bytes, as if read from a file.
const pairs = texts.map((text) => Object.entries(parse(Buffer.from(text, 'hex'))));
process.stdout.write(JSON.stringify(pairs));
