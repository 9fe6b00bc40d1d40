/* A fault ends the program with one line that names it. */
#ifndef FAULTS_H
#define FAULTS_H

void faults_enable(void);
void fault_entry(void);

#endif
