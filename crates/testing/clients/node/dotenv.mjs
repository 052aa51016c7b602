// Reads a file with an array of texts in JSON, and prints for each what `dotenv` makes of it, as pairs.
import { readFileSync } from 'node:fs';
import { parse } from 'dotenv';

// Behind the host and the port that every program of this directory gets.
const texts = JSON.parse(readFileSync(process.argv[4], 'utf8'));
// From bytes, as it reads a file.
const pairs = texts.map((text) => Object.entries(parse(Buffer.from(text, 'hex'))));
process.stdout.write(JSON.stringify(pairs));
